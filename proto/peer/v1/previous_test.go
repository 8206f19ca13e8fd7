package peerv1

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
)

// What agents of earlier versions say keeps its meaning: a message that was
// recorded from one is read as it was meant, and so is one of a later version,
// which has fields that this one does not know. Recorded messages are never
// changed; new ones are added.
func TestMessagesOfOtherVersionsAreUnderstood(t *testing.T) {
	roll := &Roll{
		History: "h1", Serial: 41, PollEvery: durationpb.New(time.Second),
		Epochs:  []*Epoch{{Number: 3, Retiring: true, Witnesses: []string{"a", "b", "c"}}},
		Entries: []*Entry{{Node: "x", NodeUid: "u", BootId: "bx", Fence: "f", State: Entry_STATE_WITHHELD}},
	}
	for name, tt := range map[string]struct {
		recorded string
		want     proto.Message
	}{
		"heartbeat": {
			"0a0161120262611a0e0a026261120808011080cab5ee0120072801",
			&HeartbeatRequest{
				Node: "a", BootId: "ba", Number: 7, Statement: true,
				SelfTest: &SelfTest{BootId: "ba", PetAge: durationpb.New(1500 * time.Millisecond)},
			},
		},
		"answer": {
			"0a0162120262621a340a2a0a02683110291a0d080310011a01611a01621a0163220f0a01781201751a02627822016628022a0208011206" +
				"1080d293ad0322051080e59a772a120a026261120208091a051080e1eb1720b40130073a330a0162120262621a2a0a02683110291a" +
				"0d080310011a01611a01621a0163220f0a01781201751a02627822016628022a020801",
			&HeartbeatReply{
				Node: "b", BootId: "bb", Number: 7, HeardYou: durationpb.New(250 * time.Millisecond),
				Relay:     &Relay{Roll: roll, Age: durationpb.New(900 * time.Millisecond)},
				Silence:   &Silence{BootId: "ba", Lasted: durationpb.New(9 * time.Second), Gap: durationpb.New(50 * time.Millisecond), Beats: 180},
				Statement: &StatementReply{Node: "b", BootId: "bb", Roll: roll},
			},
		},
		"statement": {
			"0a0162120262621a2a0a02683110291a0d080310011a01611a01621a0163220f0a01781201751a02627822016628022a020801",
			&StatementReply{Node: "b", BootId: "bb", Roll: roll},
		},
	} {
		raw, err := hex.DecodeString(tt.recorded)
		if err != nil {
			t.Fatal(err)
		}
		later := protowire.AppendBytes(protowire.AppendTag(raw, 500, protowire.BytesType), []byte("what a later version says"))
		for version, raw := range map[string][]byte{"earlier": raw, "later": later} {
			got := tt.want.ProtoReflect().New().Interface()
			if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, got); err != nil {
				t.Errorf("%s of an %s version: %v", name, version, err)
			}
			if d := cmp.Diff(tt.want, got, protocmp.Transform()); d != "" {
				t.Errorf("%s of an %s version (-want +got):\n%s", name, version, d)
			}
		}
	}
}
