// Package conformance runs version 3 of the genuine QingStor Go SDK against a freshly started Cistern. Other clients are in
// the directories below.
//
// It is a module of its own, so that the SDK never becomes a part of what is linked. It has tests only: each builds
// on the command as a user starts it, over real sockets on the loopback address, and imports nothing of Cistern.
package conformance
