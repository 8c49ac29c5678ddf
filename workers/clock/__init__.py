"""What makes time pass: the due set's dispatcher and the reconciler."""
