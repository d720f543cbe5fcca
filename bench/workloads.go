package main

import (
	"time"

	"github.com/cisternhq/cistern/bench/report"
)

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// Columns that most workloads have.
var (
	colCPU  = report.Figure{Name: "cpu", Title: "CPU s", Digits: 2}
	colPeak = report.Figure{Name: "peak", Title: "peak MiB", Digits: 0}
	colRate = report.Figure{Name: "rate", Title: "a second", Digits: 0}
	colP50  = report.Figure{Name: "p50", Title: "p50 ms", Digits: 2}
	colP99  = report.Figure{Name: "p99", Title: "p99 ms", Digits: 2}
	colByte = report.Figure{Name: "fetched", Title: "bytes fetched / size", Digits: 3, Alone: true}
	colGETs = report.Figure{Name: "gets", Title: "GETs of the origin", Digits: 0, Alone: true}
)

// workloads are all of them, the most important first.
func workloads(o options) []workload {
	size := func(n int64) int64 { return max(1, int64(float64(n)*o.scale)) }
	while := func(d time.Duration) time.Duration { return time.Duration(float64(d) * o.scale) }
	count := func(n int) int { return max(1, int(float64(n)*o.scale)) }
	var list []workload
	list = append(list, missLarge(size)...)
	list = append(list, crowds(size, count)...)
	list = append(list, seek(size), throttled(size))
	list = append(list, hitSmall(while)...)
	list = append(list, hitLarge(size, while)...)
	list = append(list, missSmall(while)...)
	list = append(list, puts(while)...)
	list = append(list, lists(count)...)
	list = append(list, memory(size, while, count)...)
	return list
}

// milliseconds is how the tables show short times.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
