package workload

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// file builds the file of records with these numbers.
func file(numbers ...uint64) []byte {
	var b []byte
	for _, n := range numbers {
		b = Record{n, "worker-1", "b1", time.Unix(7, 5)}.append(b)
	}
	return b
}

func TestRead(t *testing.T) {
	three := file(1, 2, 3)
	second := bytes.IndexByte(three, '\n') + 1
	for _, test := range []struct {
		name    string
		file    []byte
		records int
		torn    int
		damage  string
	}{
		{name: "empty"},
		{name: "whole", file: three, records: 3},
		{name: "cut in the last record", file: three[:len(three)-3], records: 2, torn: len(three) - 2*second - 3},
		{name: "cut before its end of line", file: three[:len(three)-1], records: 2, torn: len(three) - 2*second - 1},
		{name: "zeros at the end", file: append(file(1, 2), make([]byte, 100)...), records: 2, torn: 100},
		{name: "gap", file: file(1, 3), records: 1, damage: "record 3 of node worker-1 (boot b1) stands where record 2 should"},
		{name: "twice", file: file(1, 2, 2), records: 2, damage: "record 2"},
		{name: "not from 1", file: file(2), damage: "stands where record 1 should"},
		{name: "damaged in the middle", file: append(append([]byte{}, three[:second]...), append([]byte("x"), three[second+1:]...)...), records: 1, damage: "record 3 of node worker-1 (boot b1) follows"},
		{name: "bit flipped at the end", file: append(file(1), bytes.Replace(file(1, 2)[second:], []byte("worker-1"), []byte("worker-2"), 1)...), records: 1, torn: second},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Read(test.file)
			said := ""
			if err != nil {
				said = err.Error()
			}
			if test.damage == "" && err != nil || !strings.Contains(said, test.damage) {
				t.Errorf("error %q, want %q", said, test.damage)
			}
			if len(got.Records) != test.records || test.torn > 0 && got.Torn != test.torn {
				t.Errorf("%d records, %d bytes torn; want %d, %d", len(got.Records), got.Torn, test.records, test.torn)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(file(1, 2, 3))
	f.Add(file(1, 3))
	f.Add([]byte("1 a b 2 3\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := Read(content)
		for i, r := range got.Records {
			if r.Seq != uint64(i)+1 {
				t.Fatalf("record %d is number %d", r.Seq, i+1)
			}
		}
		if err != nil {
			return
		}
		again, err := Read(content[:len(content)-got.Torn])
		if err != nil || again.Torn != 0 {
			t.Fatalf("without its torn tail the file is not sound: %d bytes, %v", again.Torn, err)
		}
		if diff := cmp.Diff(got.Records, again.Records); diff != "" {
			t.Fatal(diff)
		}
	})
}
