"""The pages for people: plain ones, without a build step."""
