"""The benches: Larder side by side with its peers, on servers of the bench's own."""
