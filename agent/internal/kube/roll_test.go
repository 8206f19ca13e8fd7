package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/picket-dev/picket/proto/api/client"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

func TestReadRoll(t *testing.T) {
	server := newFakeAPI(t)
	a := open(t, config(server))
	got := a.ReadRoll(t.Context())
	want := Reading{Endpoint: server.URL, Sent: timing.At(1), Roll: aRoll()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadBrokenRoll(t *testing.T) {
	server := newFakeAPI(t)
	server.act(func(w http.ResponseWriter, _ *http.Request) {
		broken := rollObject()
		broken.Spec.Broken = "the Roll was deleted"
		answer(w, http.StatusOK, broken)
	})
	got := open(t, config(server)).ReadRoll(t.Context())
	if got.Err != nil || got.Broken != "the Roll was deleted" || got.Roll.Serial != 7 {
		t.Errorf("got %+v", got)
	}
}

// Only a full, successful answer that is a Roll counts. Everything else tells
// whether an API server was there at all.
func TestNothingElseIsEvidence(t *testing.T) {
	rolls := schema.GroupResource{Group: "picket.dev", Resource: "rolls"}
	status := func(err *apierrors.StatusError) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { refuse(w, err) }
	}
	body := func(code int, s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, s)
		}
	}
	changed := func(change func(*v1alpha1.Roll)) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			obj := rollObject()
			change(obj)
			answer(w, http.StatusOK, obj)
		}
	}
	half := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"apiVersion":"picket.dev/v1alpha1","kind":"Roll","metadata":{"name":"cluster"}`)
		_ = http.NewResponseController(w).Flush()
	}
	for _, test := range []struct {
		name   string
		behave http.HandlerFunc
		kind   Kind
		status int
	}{
		{"401", status(apierrors.NewUnauthorized("expired")), Contact, 401},
		{"403", status(apierrors.NewForbidden(rolls, "cluster", nil)), Contact, 403},
		{"404", status(apierrors.NewNotFound(rolls, "cluster")), NotFound, 404},
		{"404 of a missing CRD", body(404, "404 page not found\n"), NotFound, 404},
		{"429", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1")
			refuse(w, apierrors.NewTooManyRequests("busy", 1))
		}, Contact, 429},
		{"500", body(500, "oops"), Contact, 500},
		{"503 with Retry-After", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}, Contact, 503},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, rollPath+"?again", http.StatusFound) }, Contact, 302},
		{"204", body(204, ""), Contact, 0},
		{"206", changedStatus(206), Contact, 0},
		{"empty", body(200, ""), Contact, 0},
		{"garbage", body(200, "<html>"), Contact, 0},
		{"empty object", body(200, "{}"), Contact, 0},
		{"a Status that says success", body(200, `{"kind":"Status","apiVersion":"v1","status":"Success"}`), Contact, 0},
		{"another kind", changed(func(r *v1alpha1.Roll) { r.Kind = "NodeFence" }), Contact, 0},
		{"another name", changed(func(r *v1alpha1.Roll) { r.Name = "other" }), Contact, 0},
		{"serial 0", changed(func(r *v1alpha1.Roll) { r.Spec.Serial = 0 }), Contact, 0},
		{"no history", changed(func(r *v1alpha1.Roll) { r.Spec.History = "" }), Contact, 0},
		{"unknown state", changed(func(r *v1alpha1.Roll) { r.Spec.Entries[0].State = "Forgiven" }), Contact, 0},
		{"cut off in the middle", func(w http.ResponseWriter, _ *http.Request) {
			half(w)
			panic(http.ErrAbortHandler)
		}, Contact, 0},
		{"stalls in the middle", func(w http.ResponseWriter, r *http.Request) {
			half(w)
			stall(w, r)
		}, Contact, 0},
		{"an answer without end", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for chunk := bytes.Repeat([]byte(" "), 1<<20); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, Contact, 0},
		{"never answers", stall, NoContact, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newFakeAPI(t)
			server.act(test.behave)
			cfg := config(server)
			a := open(t, cfg)
			began := time.Now()
			got := a.ReadRoll(t.Context())
			if d := time.Since(began); d > cfg.Deadline+2*time.Second {
				t.Errorf("took %v", d)
			}
			if got.Err == nil {
				t.Fatalf("it counts as evidence: %+v", got)
			}
			f := got.Err.(*Failure) //nolint:errorlint // the documented type
			if f.Kind != test.kind || f.Status != test.status {
				t.Errorf("kind %v, status %d, want %v, %d: %v", f.Kind, f.Status, test.kind, test.status, f)
			}
			if diff := cmp.Diff(roll.Roll{}, got.Roll); diff != "" {
				t.Error("a Roll came with the error", diff)
			}
			if n := server.hits.Load(); n > 1 {
				t.Errorf("%d requests: nothing is retried or followed", n)
			}
		})
	}
}

func changedStatus(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answer(w, code, rollObject()) }
}

func TestNobodyThereIsNoContact(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		server := newFakeAPI(t)
		a := open(t, config(server))
		server.Close()
		if got := a.ReadRoll(t.Context()); KindOf(got.Err) != NoContact {
			t.Errorf("got %v", got.Err)
		}
	})
	t.Run("not proven to be the API server", func(t *testing.T) {
		server := newFakeAPI(t)
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		cfg := config(server)
		cfg.ServerName = "elsewhere.test"
		if got := open(t, cfg).ReadRoll(t.Context()); KindOf(got.Err) != NoContact {
			t.Errorf("got %v", got.Err)
		}
		if server.hits.Load() != 0 {
			t.Error("a request was sent to a server that is not the right one")
		}
	})
	t.Run("the caller gave up", func(t *testing.T) {
		server := newFakeAPI(t)
		server.act(stall)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if got := open(t, config(server)).ReadRoll(ctx); got.Err == nil || KindOf(got.Err) != Unknown {
			t.Errorf("got %v", got.Err)
		}
	})
}

// The question is as old as the moment before it was sent, however long the
// answer takes.
func TestSentIsBeforeTheQuestion(t *testing.T) {
	var now, asked timing.Instant
	now = timing.At(time.Second)
	server := newFakeAPI(t)
	a, err := New(config(server), func() timing.Instant { return now })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	server.act(func(w http.ResponseWriter, _ *http.Request) {
		now = now.Add(time.Minute) // the answer takes long
		asked = now
		answer(w, http.StatusOK, rollObject())
	})
	got := a.ReadRoll(t.Context())
	if got.Err != nil || got.Sent != timing.At(time.Second) || !asked.After(got.Sent) {
		t.Errorf("got %+v, asked at %v", got, asked)
	}
}

// A question that fails at one endpoint goes to the next one, and stays where
// it is answered.
func TestRotation(t *testing.T) {
	first, second := newFakeAPI(t), newFakeAPI(t)
	a := open(t, config(first, second))
	ask := func(want string, ok bool) {
		t.Helper()
		got := a.ReadRoll(t.Context())
		if got.Endpoint != want || (got.Err == nil) != ok {
			t.Errorf("asked %s: %v, want %s", got.Endpoint, got.Err, want)
		}
	}
	ask(first.URL, true)
	ask(first.URL, true)
	first.act(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	ask(first.URL, false)
	ask(second.URL, true)
	first.act(nil)
	ask(second.URL, true)
	second.act(stall)
	ask(second.URL, false)
	ask(first.URL, true)
	if a.Endpoint() != first.URL {
		t.Errorf("prefers %s", a.Endpoint())
	}
}

// A5: every endpoint is asked at once; the first Roll is there before the
// others' outcomes, and each is reported.
func TestAskAll(t *testing.T) {
	stalled, forbidden, good := newFakeAPI(t), newFakeAPI(t), newFakeAPI(t)
	stalled.act(stall)
	forbidden.act(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	a := open(t, config(stalled, forbidden, good))
	outcomes := make(map[string]Kind)
	var rolls []string
	last := ""
	a.AskAll(t.Context(), func(r Reading) {
		last = r.Endpoint
		if r.Err == nil {
			rolls = append(rolls, r.Endpoint)
			return
		}
		outcomes[r.Endpoint] = KindOf(r.Err)
	})
	if diff := cmp.Diff([]string{good.URL}, rolls); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]Kind{stalled.URL: NoContact, forbidden.URL: Contact}, outcomes); diff != "" {
		t.Error(diff)
	}
	if last != stalled.URL {
		t.Errorf("the last outcome is that of %s", last)
	}
	if a.Endpoint() != good.URL {
		t.Errorf("prefers %s", a.Endpoint())
	}
}

func TestAskAllEndsWithItsContext(t *testing.T) {
	stalled, good := newFakeAPI(t), newFakeAPI(t)
	stalled.act(stall)
	cfg := config(stalled, good)
	cfg.Deadline = time.Minute
	a := open(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var kinds []Kind
	a.AskAll(ctx, func(r Reading) {
		kinds = append(kinds, KindOf(r.Err))
		if r.Err == nil {
			cancel()
		}
	})
	if len(kinds) != 2 {
		t.Errorf("outcomes %v", kinds)
	}
}

// After a timeout the next question takes a new connection.
func TestTimeoutDropsTheConnection(t *testing.T) {
	server := newFakeAPI(t)
	a := open(t, config(server))
	for range 3 {
		if got := a.ReadRoll(t.Context()); got.Err != nil {
			t.Fatal(got.Err)
		}
	}
	if n := server.conns.Load(); n != 1 {
		t.Fatalf("%d connections for 3 questions, want 1", n)
	}
	server.act(stall)
	if got := a.ReadRoll(t.Context()); KindOf(got.Err) != NoContact {
		t.Fatalf("got %v", got.Err)
	}
	server.act(nil)
	for range 50 { // the first ones may meet the old connection's end
		if a.ReadRoll(t.Context()).Err == nil {
			break
		}
	}
	if n := server.conns.Load(); n < 2 {
		t.Errorf("%d connections, want a new one", n)
	}
}

// No call outlives its deadline, even if client-go does; and calls that do are
// not piled up without end.
func TestCallOutlivesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := newEndpoint(&rest.Config{Host: "https://x"}, config())
		if err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		deaf := func(context.Context) (int, error) {
			<-release
			return 1, nil
		}
		for range maxCalls {
			began := time.Now()
			_, err := call(t.Context(), e, time.Second, "wait", deaf)
			if KindOf(err) != NoContact || time.Since(began) != time.Second {
				t.Fatalf("after %v: %v", time.Since(began), err)
			}
		}
		began := time.Now()
		if _, err := call(t.Context(), e, time.Second, "wait", deaf); KindOf(err) != NoContact || time.Since(began) != 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		close(release)
		synctest.Wait()
		if got, err := call(t.Context(), e, time.Second, "wait", deaf); got != 1 || err != nil {
			t.Errorf("got %v, %v after the calls ended", got, err)
		}
	})
}

// A token that was renewed is used after the first 401, a certificate authority
// at the next connection.
func TestRenewedCredentials(t *testing.T) {
	server := newFakeAPI(t)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.act(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer new" {
			refuse(w, apierrors.NewUnauthorized("expired"))
			return
		}
		server.serve(w, r)
	})
	cfg := config(server)
	dir := t.TempDir()
	cfg.TokenFile, cfg.CAFile = filepath.Join(dir, "token"), filepath.Join(dir, "ca.crt")
	ca := cfg.CAData
	cfg.CAData = nil
	write := func(file string, data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(cfg.TokenFile, []byte("old"))
	write(cfg.CAFile, []byte(otherCA))
	a := open(t, cfg)
	if got := a.ReadRoll(t.Context()); KindOf(got.Err) != NoContact {
		t.Errorf("with the wrong CA: %v", got.Err)
	}
	write(cfg.CAFile, ca)
	if got := a.ReadRoll(t.Context()); KindOf(got.Err) != Contact {
		t.Errorf("with the old token: %v", got.Err)
	}
	write(cfg.TokenFile, []byte("new"))
	if got := a.ReadRoll(t.Context()); got.Err != nil {
		t.Errorf("with the new token: %v", got.Err)
	}
}

// Whatever a server answers is refused or a valid Roll.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"apiVersion":"picket.dev/v1alpha1","kind":"Roll","metadata":{"name":"cluster"},"spec":{"history":"h","serial":1,"pollEvery":"1s"}}`))
	f.Add(200, []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":404}`))
	f.Add(404, []byte(`{"kind":"Status","apiVersion":"v1","status":"Success","code":200}`))
	f.Add(403, []byte(`<html>`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		web := &http.Client{Transport: &observer{base: canned{status, body}}}
		api, err := client.New(&rest.Config{Host: "https://x"}, web)
		if err != nil {
			t.Fatal(err)
		}
		e, err := newEndpoint(&rest.Config{Host: "https://x"}, config())
		if err != nil {
			t.Fatal(err)
		}
		e.api = api
		a := &API{cfg: config(), now: func() timing.Instant { return timing.At(1) }, endpoints: []*endpoint{e}}
		got := a.ReadRoll(t.Context())
		if got.Err == nil && (status != 200 || got.Roll.Validate() != nil) {
			t.Errorf("status %d makes evidence of %+v", status, got.Roll)
		}
		if got.Err != nil && KindOf(got.Err) != Contact && KindOf(got.Err) != NotFound {
			t.Errorf("an answer is %v: %v", KindOf(got.Err), got.Err)
		}
	})
}

type canned struct {
	status int
	body   []byte
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		Status:     fmt.Sprint(c.status),
		StatusCode: c.status,
		Proto:      "HTTP/2.0", ProtoMajor: 2,
		Header:  http.Header{"Content-Type": {"application/json"}},
		Body:    io.NopCloser(strings.NewReader(string(c.body))),
		Request: r,
	}, nil
}

// otherCA is a certificate authority that has nothing to do with any server.
const otherCA = `-----BEGIN CERTIFICATE-----
MIIBdjCCARugAwIBAgIUNTkZWFkvq29V3DF1i+4pIuOQL34wCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFb3RoZXIwHhcNMjYxMTIxMjIwOTMzWhcNMzYxMTE4MjIwOTMz
WjAQMQ4wDAYDVQQDDAVvdGhlcjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHi+
dar0+YoMXaOzatrITlOyDm3Bk51eUxa6WYbQzIbpvKXn2Roc9D8yYDMlV/4AAZxn
MxLaybtMtGM49vmE8/yjUzBRMB0GA1UdDgQWBBRkv6aLSKpVXKIE0nzGyo5kejDd
JzAfBgNVHSMEGDAWgBRkv6aLSKpVXKIE0nzGyo5kejDdJzAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0kAMEYCIQDGjvIALBJbJgGeG0whRduRUDHy6ToETBG7
PrZ2EralbQIhAN5UrncYJQlVey7UiUFMAx8CvE3nl8jkhXA9btX33zlo
-----END CERTIFICATE-----
`
