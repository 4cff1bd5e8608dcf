// Reads a Compose file as Docker Compose does, against its schema, and prints what check-compose.sh compares:
// a line for each service of any profile, "NAME IMAGE PUBLISHED:TARGET... needs OTHER... builds TARGET tested" ("tested": it
// has a health check here; what is built has its own).
package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: compose FILE"))
	}
	options, err := cli.NewProjectOptions(os.Args[1:], cli.WithProfiles([]string{"*"}))
	if err != nil {
		fail(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		fail(err)
	}
	for _, name := range project.ServiceNames() {
		fmt.Println(line(project.Services[name]))
	}
}

func line(service types.ServiceConfig) string {
	text := service.Name + " " + service.Image
	for _, port := range service.Ports {
		text += fmt.Sprintf(" %s:%s:%d", port.HostIP, port.Published, port.Target)
	}
	needs := []string{}
	for name, how := range service.DependsOn {
		if how.Condition == types.ServiceConditionHealthy {
			needs = append(needs, name)
		}
	}
	slices.Sort(needs)
	for _, name := range needs {
		text += " needs " + name
	}
	if service.Build != nil {
		text += " builds " + service.Build.Target
	}
	if service.HealthCheck != nil && !service.HealthCheck.Disable {
		text += " tested"
	}
	return text
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
