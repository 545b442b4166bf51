// Package timerwheel is a hierarchical timing wheel (Varghese and Lauck, 1987)
// for one owner who keeps very many timers.
package timerwheel
