"""The distributed engine: DynamoDB."""
