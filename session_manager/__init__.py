"""Sessions: verifying, refreshing, ending and listing them."""
