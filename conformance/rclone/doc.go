// Package rclone runs the genuine qingstor backend of rclone against a freshly started Cistern.
//
// It is a module of its own, so that the tests of the SDKs neither download nor build rclone. It has tests only; the
// test binary is rclone, too: it starts itself again for each command.
package rclone
