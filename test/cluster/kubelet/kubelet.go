package kubelet

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"k8s.io/client-go/kubernetes"

	"github.com/picket-dev/picket/test/cluster/machine"
)

// Kubelet is the kubelet of one node, over all its boots. It implements
// machine.Kubelet.
type Kubelet struct {
	opts   Options
	client kubernetes.Interface
	log    *slog.Logger

	mu     sync.Mutex
	cancel context.CancelFunc // of the boot that runs
	ended  sync.WaitGroup     // all boots' goroutines
	pause  *pause
}

// New makes a kubelet, which starts with its machine.
func New(o Options) (*Kubelet, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("kubelet of %s: %w", o.Node, err)
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Kubelet{opts: o, client: client, log: log.With("node", o.Node), pause: newPause()}, nil
}

// PowerOn starts the kubelet in a new boot, without any memory of the last.
func (k *Kubelet) PowerOn(b machine.Boot) {
	k.PowerOff()
	ctx, cancel := context.WithCancel(context.Background())
	s := newSession(k, b)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cancel = cancel
	k.ended.Go(func() { s.run(ctx) })
}

// PowerOff ends the kubelet without a word to anyone. The boot's power is off
// by now, so no pod writes any more, whether its goroutine has ended or not.
func (k *Kubelet) PowerOff() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cancel != nil {
		k.cancel()
		k.cancel = nil
	}
}

// Pause stops the kubelet alone: no Lease, no status, no reaction. Its pods
// write on.
func (k *Kubelet) Pause() { k.pause.set(true) }

// Resume ends a Pause.
func (k *Kubelet) Resume() { k.pause.set(false) }

// Close waits until nothing of a kubelet runs whose machine is off.
func (k *Kubelet) Close() {
	k.PowerOff()
	k.ended.Wait()
}
