// Command fuzz runs the fuzz targets of all packages, or some of them by a seed.
//
// Usage:
//
//	fuzz -each 30s              every target for that long: what make fuzz does
//	fuzz -for 2m -seed 7        as many as can have fifteen seconds each, drawn by the seed
//
// A target that fails does not keep the others from running. In the end all
// failures are named, with the command that runs the input again, and the exit code
// is 1. The first run builds what is fuzzed with its instruments, which counts as
// time of -for.
package main
