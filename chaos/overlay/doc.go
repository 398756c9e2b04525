// Package overlay builds programs in which things can go wrong that cannot be made
// to go wrong from outside. Files of the standard library or of the module are
// replaced for one build (go build -overlay); the source stays as it is.
//
//  1. A [Source] says which texts of which files are replaced by which, and which
//     files are added. Package clock has one, and [FailingSync] is another.
//  2. [Build] applies any number of them.
//
// What the program does when nothing is asked of it is what it does without.
package overlay
