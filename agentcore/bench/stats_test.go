package main

import (
	"slices"
	"testing"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1, 4}, 4},
		{[]float64{9, 1, 4, 2}, 3},
	} {
		before := slices.Clone(tt.values)
		if got := median(tt.values); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.values, got, tt.want)
		}
		if !slices.Equal(before, tt.values) {
			t.Errorf("median changed its argument from %v to %v", before, tt.values)
		}
	}
}

func TestLeastAndLargest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		values         []int
		least, largest int
	}{
		{nil, 0, 0},
		{[]int{-5}, -5, -5},
		{[]int{-5, -7, -6}, -7, -5},
	} {
		if got := least(tt.values); got != tt.least {
			t.Errorf("least(%v) = %v, want %v", tt.values, got, tt.least)
		}
		if got := largest(tt.values); got != tt.largest {
			t.Errorf("largest(%v) = %v, want %v", tt.values, got, tt.largest)
		}
	}
}

func TestRatiosGoPairByPair(t *testing.T) {
	t.Parallel()
	// The last of ours has no pair: its round was not finished.
	if got, want := ratios([]float64{3, 4, 5}, []float64{2, 8}), []float64{1.5, 0.5}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
