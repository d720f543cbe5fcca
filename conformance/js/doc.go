// Package js runs the genuine JavaScript SDK on Node against a freshly started Cistern.
//
// The scenarios are JavaScript, in scenarios.test.js; what is written in Go installs the SDK as package-lock.json says,
// starts the server and a source, and runs them.
package js
