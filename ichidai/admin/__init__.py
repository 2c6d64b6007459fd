"""The admin app: what operators see and do over HTTP, by keys of their own. The acts are `ichidai.administration`."""
