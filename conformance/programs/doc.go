// Package programs runs programs written for QingStor's Go SDK, once with each genuine module, once with ours.
//
// The programs are in testdata, as their authors would have written them. Nothing but the import path is changed.
package programs
