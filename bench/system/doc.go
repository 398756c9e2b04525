// Package system is the small interface through which the workloads see every
// coordination service alike.
//
// A System builds or finds its servers and starts them as a Cluster. It has one
// or several Recipes, the ways in which a user would write a lock with it; each
// recipe is a column of the table. Dial gives clients that follow a recipe.
// What a service does not have, it says with ErrNotOffered, and the table says
// so too: nothing is imitated to fill a cell.
package system
