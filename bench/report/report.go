// Package report turns measurements into figures that a stranger can judge.
//
// A figure is the median of its rounds. A round with an error has no figures at all, and one during which others used the machine is
// counted and named.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Record is one round of one workload with one peer; it is a line of JSON.
type Record struct {
	Time     time.Time `json:"time"`
	Workload string    `json:"workload"`
	Peer     string    `json:"peer"`
	Round    int       `json:"round"`
	// Figures by name. What they mean is the workload's to say.
	Figures map[string]float64 `json:"figures,omitempty"`
	// Others is the part of the machine that other programs used meanwhile, from 0 to 1.
	Others float64 `json:"others"`
	Noisy  bool    `json:"noisy"`
	// Error voids the round.
	Error string `json:"error,omitempty"`
}

// Figure is a column of a workload.
type Figure struct {
	// Name is the key in a Record, Title what the table says, with its unit.
	Name, Title string
	// Digits are those behind the point.
	Digits int
	// Alone says that dividing it by another peer's tells nothing.
	Alone bool
}

// Goal is what a figure of Cistern should come to: at most (at least, if Least) Factor × that of Peer + Plus. Without a Peer it is Plus alone.
type Goal struct {
	Figure string
	Peer   string
	Least  bool
	Factor float64
	Plus   float64
}

// Workload is what the report says of one.
type Workload struct {
	Name, Title string
	// Peers in order; the first is the one that others are compared with.
	Peers   []string
	Figures []Figure
	Goals   []Goal
}

// Subject is the peer that goals are about.
const Subject = "cistern"

// Set is all records of a run.
type Set []Record

// Values of a figure in all rounds without error, in order of size.
func (s Set) Values(workload, peer, figure string) []float64 {
	var list []float64
	for _, r := range s {
		if v, ok := r.Figures[figure]; ok && r.Workload == workload && r.Peer == peer && r.Error == "" {
			list = append(list, v)
		}
	}
	slices.Sort(list)
	return list
}

// Median of a figure; ok is false if there is none.
func (s Set) Median(workload, peer, figure string) (v float64, ok bool) {
	list := s.Values(workload, peer, figure)
	if len(list) == 0 {
		return 0, false
	}
	if n := len(list); n%2 == 0 {
		return (list[n/2-1] + list[n/2]) / 2, true
	}
	return list[len(list)/2], true
}

// Judge says what a goal is, what it came to, and whether it is met. ok is false if a figure is missing.
func (s Set) Judge(w Workload, g Goal) (text string, met, ok bool) {
	title := g.Figure
	for _, f := range w.Figures {
		if f.Name == g.Figure {
			title = f.Title
		}
	}
	sign := "≤"
	if g.Least {
		sign = "≥"
	}
	limit := g.Plus
	switch {
	case g.Peer == "":
		text = fmt.Sprintf("%s %s %.4g", title, sign, g.Plus)
	case g.Plus == 0:
		text = fmt.Sprintf("%s %s %.4g × %s", title, sign, g.Factor, g.Peer)
	case g.Factor == 1:
		text = fmt.Sprintf("%s %s %s + %.4g", title, sign, g.Peer, g.Plus)
	default:
		text = fmt.Sprintf("%s %s %.4g × %s + %.4g", title, sign, g.Factor, g.Peer, g.Plus)
	}
	got, ok := s.Median(w.Name, Subject, g.Figure)
	if !ok {
		return text + ": not measured", false, false
	}
	if g.Peer != "" {
		ref, ok := s.Median(w.Name, g.Peer, g.Figure)
		if !ok {
			return text + ": not measured", false, false
		}
		limit += g.Factor * ref
		if ref != 0 {
			text += fmt.Sprintf(": %.4g, that is %.2f ×", got, got/ref)
		} else {
			text += fmt.Sprintf(": %.4g", got)
		}
	} else {
		text += fmt.Sprintf(": %.4g", got)
	}
	met = got <= limit
	if g.Least {
		met = got >= limit
	}
	if met {
		return text + ", met", true, true
	}
	return text + ", **missed**", false, true
}

// WriteJSON writes a record as a line.
func WriteJSON(w io.Writer, r Record) error { return json.NewEncoder(w).Encode(r) }

// Table writes a workload as Markdown.
func (s Set) Table(out io.Writer, w Workload) {
	fmt.Fprintf(out, "### %s\n\n%s\n\n", w.Name, w.Title)
	fmt.Fprint(out, "| peer |")
	for _, f := range w.Figures {
		fmt.Fprintf(out, " %s |", f.Title)
	}
	fmt.Fprint(out, " rounds |\n| --- |", strings.Repeat(" ---: |", len(w.Figures)), " --- |\n")
	var errs []string
	for _, peer := range w.Peers {
		rounds, noisy, void := 0, 0, 0
		for _, r := range s {
			if r.Workload != w.Name || r.Peer != peer {
				continue
			}
			rounds++
			if r.Noisy {
				noisy++
			}
			if r.Error != "" {
				void++
				line, _, _ := strings.Cut(r.Error, "\n")
				errs = append(errs, fmt.Sprintf("%s, round %d: %.300s", peer, r.Round+1, line))
			}
		}
		if rounds == 0 {
			continue
		}
		fmt.Fprintf(out, "| %s |", peer)
		for _, f := range w.Figures {
			v, ok := s.Median(w.Name, peer, f.Name)
			if !ok {
				fmt.Fprint(out, " – |")
				continue
			}
			text := number(v, f.Digits)
			if ref, ok := s.Median(w.Name, w.Peers[0], f.Name); ok && !f.Alone && peer != w.Peers[0] && ref > 0 {
				text += fmt.Sprintf(" (%.2f ×)", v/ref)
			}
			fmt.Fprintf(out, " %s |", text)
		}
		fmt.Fprint(out, " ", rounds-void)
		if noisy > 0 {
			fmt.Fprintf(out, ", %d noisy", noisy)
		}
		if void > 0 {
			fmt.Fprintf(out, ", %d void", void)
		}
		fmt.Fprintln(out, " |")
	}
	fmt.Fprintln(out)
	for _, g := range w.Goals {
		text, _, _ := s.Judge(w, g)
		fmt.Fprintf(out, "- goal: %s\n", text)
	}
	for _, e := range errs {
		fmt.Fprintf(out, "- void: %s\n", e)
	}
	fmt.Fprintln(out)
}

func number(v float64, digits int) string {
	text := fmt.Sprintf("%.*f", digits, v)
	if digits > 0 || len(text) < 5 {
		return text
	}
	return text[:len(text)-3] + " " + text[len(text)-3:]
}

// Facts writes a list of names with their values, in order of the names.
func Facts(out io.Writer, facts map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		fmt.Fprintf(out, "- %s: %s\n", name, facts[name])
	}
}
