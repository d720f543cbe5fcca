package report

import (
	"strings"
	"testing"
)

func TestTableJudges(t *testing.T) {
	w := Workload{
		Name: "w", Title: "What it is.", Peers: []string{"ref", "cistern", "absent"},
		Figures: []Figure{{Name: "s", Title: "total s", Digits: 2}, {Name: "rate", Title: "a second"}, {Name: "n", Title: "count", Alone: true}},
		Goals: []Goal{
			{Figure: "s", Peer: "ref", Factor: 0.8},
			{Figure: "rate", Peer: "ref", Factor: 2, Least: true},
			{Figure: "s", Plus: 1},
			{Figure: "s", Peer: "absent", Factor: 1},
		},
	}
	record := func(peer string, s, rate float64) Record {
		return Record{Workload: "w", Peer: peer, Figures: map[string]float64{"s": s, "rate": rate, "n": 7}}
	}
	set := Set{
		record("ref", 1, 1000), record("ref", 5, 50_000), record("ref", 2, 2000),
		record("cistern", 1.5, 3999), record("cistern", 1.6, 5000), record("cistern", 1, 100),
		{Workload: "w", Peer: "cistern", Error: "a wrong byte", Figures: map[string]float64{"s": 0, "rate": 1e9}, Noisy: true},
	}
	var out strings.Builder
	set.Table(&out, w)
	for _, want := range []string{
		"| ref | 2.00 | 2000 | 7 | 3 |",
		"| cistern | 1.50 (0.75 ×) | 3999 (2.00 ×) | 7 | 3, 1 noisy, 1 void |",
		"- goal: total s ≤ 0.8 × ref: 1.5, that is 0.75 ×, met",
		"- goal: a second ≥ 2 × ref: 3999, that is 2.00 ×, **missed**",
		"- goal: total s ≤ 1: 1.5, **missed**",
		"- goal: total s ≤ 1 × absent: not measured",
		"- void: cistern, round 1: a wrong byte",
	} {
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("the table has no line %q:\n%s", want, &out)
		}
	}
}
