package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/picket-dev/picket/proto/screen"
)

// formats are what --output takes.
func formats() []string { return []string{"table", "wide", "json", "yaml"} }

// render writes an answer as --output says: data gives it as JSON, table draws it
// for people.
func (f *flags) render(out io.Writer, data func() ([]byte, error), table func(*screen.Screen)) error {
	switch f.output {
	case "table", "wide":
		s := screen.On(out, os.Getenv)
		if f.wide() {
			s.Width = 0
		}
		table(s)
		return nil
	case "json", "yaml":
		text, err := data()
		if err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		if f.output == "yaml" {
			if text, err = yaml.JSONToYAML(text); err != nil {
				return fmt.Errorf("encode the answer: %w", err)
			}
		}
		_, err = fmt.Fprintf(out, "%s\n", bytes.TrimSpace(text))
		return err
	}
	return f.check()
}

// wide says that nothing is left out for want of room.
func (f *flags) wide() bool { return f.output == "wide" }

// check refuses a format that does not exist.
func (f *flags) check() error {
	if slices.Contains(formats(), f.output) {
		return nil
	}
	return fmt.Errorf("--output %s: use table, wide, json or yaml", f.output)
}

// message returns a message as JSON, or the fields of it that are named.
// protojson varies its spaces on purpose, so they are laid out anew.
func message(m proto.Message, fields ...string) ([]byte, error) {
	text, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	if len(fields) > 0 {
		var all map[string]json.RawMessage
		if err := json.Unmarshal(text, &all); err != nil {
			return nil, err
		}
		some := make(map[string]json.RawMessage)
		for _, f := range fields {
			some[f] = all[f]
		}
		if text, err = json.Marshal(some); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	err = json.Indent(&b, text, "", "  ")
	return b.Bytes(), err
}

// value returns what is no message as JSON.
func value(v any) ([]byte, error) { return json.MarshalIndent(v, "", "  ") }
