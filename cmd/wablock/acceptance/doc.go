// Package acceptance tests and measures wablock from outside: real processes of the program,
// a real Redis, the simulated API, all on loopback. It holds no code of the product.
package acceptance
