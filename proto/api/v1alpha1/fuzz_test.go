package v1alpha1

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/picket-dev/picket/proto/timing"
)

// seed adds files of testdata/good as JSON.
func seed(f *testing.F, names ...string) {
	f.Helper()
	for _, name := range names {
		raw, err := os.ReadFile("testdata/good/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		if raw, err = yaml.YAMLToJSON(raw); err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
}

// Whatever the API returns as a Roll either is refused or is one that a
// controller may write.
func FuzzRoll(f *testing.F) {
	seed(f, "nodeguard", "roll-new-history")
	spec, err := json.Marshal(Roll{Spec: RollSpecOf(aRoll())})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(spec)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var obj Roll
		if json.Unmarshal(raw, &obj) != nil {
			return
		}
		r, err := obj.Spec.Roll()
		if err != nil {
			return
		}
		if err := r.Validate(); err != nil {
			t.Errorf("a Roll came through that is not valid: %v", err)
		}
		again, err := RollSpecOf(r).Roll()
		if err != nil {
			t.Errorf("its own form is refused: %v", err)
		}
		if diff := cmp.Diff(r, again, sameIfEmpty); diff != "" {
			t.Error(diff)
		}
	})
}

// Whatever an agent promises, the wait that follows from it is refused or
// covers each of its terms.
func FuzzNodeGuardStatus(f *testing.F) {
	seed(f, "nodeguard")
	f.Add([]byte(`{"status":{"promise":{"armed":true,"rollLife":"5s","petDelay":"1s","timeout":"10s","kappa":1020,"ungated":1}}}`))
	f.Add([]byte(`{"status":{"promise":{"armed":true,"rollLife":"2562047h","petDelay":"2562047h","timeout":"2562047h","kappa":10000,"ungated":2147483647}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var obj NodeGuard
		if json.Unmarshal(raw, &obj) != nil {
			return
		}
		p, err := obj.Status.Promise.Pure()
		if err != nil || !p.Armed {
			if diff := cmp.Diff(timing.Promise{}, p); diff != "" {
				t.Error("a refused or unarmed promise has terms", diff)
			}
			return
		}
		if w := timing.Wait(p, timing.Standard()); w < p.RollLife+p.Timeout {
			t.Errorf("wait %v for %+v", w, p)
		}
	})
}

// Whatever a policy overrides, the profile is refused or bounds the failover
// without an overflow.
func FuzzPolicy(f *testing.F) {
	seed(f, "fencingpolicy", "fencingpolicy-empty")
	f.Add([]byte(`{"spec":{"overrides":{"misses":100,"gateReads":100,"heartbeat":"24h","rollLife":"24h","drain":"24h"}}}`))
	f.Add([]byte(`{"spec":{"overrides":{"misses":2147483647,"gateReads":2147483647}}}`))
	f.Add([]byte(`{"spec":{"overrides":{"misses":2147483647,"gateReads":2147483647,"heartbeat":"6h","rollLife":"24h","rollInterval":"6h"}}}`))
	promise := timing.Promise{Armed: true, RollLife: time.Second, PetDelay: time.Second, Timeout: time.Second, Kappa: 1000}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var obj FencingPolicy
		if json.Unmarshal(raw, &obj) != nil {
			return
		}
		for _, base := range []timing.Profile{timing.Standard(), timing.Fast(), timing.Patient()} {
			p := obj.Spec.Overrides.Resolve(base)
			if p.Validate() != nil {
				continue
			}
			if d := timing.Failover(promise, p); float64(d) < float64(p.Misses)*float64(p.Heartbeat) {
				t.Errorf("failover %v with %+v", d, p)
			}
		}
	})
}
