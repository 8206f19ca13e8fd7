package workload

import (
	"bytes"
	_ "embed" // for the manifests
	"fmt"
	"net/netip"
	"text/template"
	"time"
)

// Options say how the workload runs in a cluster.
type Options struct {
	// Name is that of the StatefulSet, its Service and its PersistentVolume;
	// the pod is NAME-0, its claim data-NAME-0.
	Name      string
	Namespace string
	// Image must be on every node: nothing is pulled. Command is the writer in
	// it.
	Image   string
	Command string
	// The volume, as the nodes see it. Without a driver it is in-tree iSCSI.
	Portal   netip.AddrPort
	IQN      string
	LUN      int    // also the number by which the lab knows the volume
	Capacity string // a Kubernetes quantity, such as 256Mi
	// Driver is a CSI driver, and Attributes are what it is told of the volume.
	Driver     string
	Attributes map[string]string
	// Block has the pod use the raw device.
	Block bool
	// Retain keeps the pod where its node is fenced.
	Retain bool
	// Stain is how many bytes the writer keeps dirty.
	Stain int64
	// Port serves /healthz, of the node where HostNetwork is set.
	Port int
	// Collector is the URL of the lab's Collector, as pods see it.
	Collector string
	// Every is the time between two records.
	Every time.Duration
	// TolerationSeconds is how long Kubernetes leaves the pod on a node that
	// is not ready or unreachable. Kubernetes' own default is 300.
	TolerationSeconds int
	// HostNetwork puts the pod into the node's network.
	HostNetwork bool
}

// DefaultOptions leave the image, the volume and the collector to be set.
func DefaultOptions() Options {
	return Options{
		Name: "db", Namespace: "default", Command: "/writer",
		LUN: 1, Capacity: "256Mi", Port: 8080, Every: 500 * time.Millisecond, TolerationSeconds: 300,
	}
}

// Validate reports what is missing.
func (o Options) Validate() error {
	for name, value := range map[string]string{
		"Name": o.Name, "Namespace": o.Namespace, "Image": o.Image, "Command": o.Command,
		"IQN or Driver": o.IQN + o.Driver, "Capacity": o.Capacity, "Collector": o.Collector,
	} {
		if value == "" {
			return fmt.Errorf("workload options: %s is not set", name)
		}
	}
	if !o.Portal.IsValid() && o.Driver == "" || o.LUN < 1 || o.Port < 1 || o.Stain < 0 || o.Every <= 0 || o.TolerationSeconds < 0 {
		return fmt.Errorf("workload options: portal %v, LUN %d, a record every %v, toleration of %d s",
			o.Portal, o.LUN, o.Every, o.TolerationSeconds)
	}
	return nil
}

//go:embed manifests.yaml
var manifests string

var manifestTemplate = template.Must(template.New("manifests").Option("missingkey=error").Parse(manifests))

// Manifests returns the YAML of the PersistentVolume, the Service and the
// StatefulSet with its claim.
func Manifests(o Options) ([]byte, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := manifestTemplate.Execute(&text, o); err != nil {
		return nil, fmt.Errorf("workload manifests: %w", err)
	}
	return text.Bytes(), nil
}
