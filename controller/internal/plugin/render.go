package plugin

import (
	"encoding/json"
	"fmt"

	"sigs.k8s.io/yaml"

	"github.com/picket-dev/picket/controller/internal/view"
	"github.com/picket-dev/picket/proto/screen"
)

func checkOutput(format string) error {
	switch format {
	case "table", "wide", "json", "yaml":
		return nil
	}
	return fmt.Errorf("--output %s: use table, wide, json or yaml", format)
}

// render writes the answer in the format.
func render(s *screen.Screen, format string, a view.Answer) error {
	switch format {
	case "json", "yaml":
		data, err := json.MarshalIndent(a.JSON(), "", "  ")
		if err != nil {
			return err
		}
		if format == "yaml" {
			if data, err = yaml.JSONToYAML(data); err != nil {
				return err
			}
			_, err = s.Out.Write(data)
			return err
		}
		_, err = fmt.Fprintf(s.Out, "%s\n", data)
		return err
	}
	a.Draw(s, format == "wide")
	return nil
}
