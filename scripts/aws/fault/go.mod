module fault

go 1.22
