// Package sdk4 runs version 4 of the genuine Go SDK against a freshly started Cistern.
//
// The scenarios proper are run with version 3, one directory up. Here is what only version 4 can: virtual-host style,
// calls without a key, append, access logs, replication, domains of one's own, metadata that is read back.
package sdk4
