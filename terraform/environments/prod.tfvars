region       = "eu-central-1"
environment  = "prod"
cluster_name = "prod"
bucket       = "cdc-platform-data-lake-prod"

# May become cdc-prod-operator-read, -repair and -fix.
operators = ["arn:aws:iam::111122223333:role/platform-on-call"]
