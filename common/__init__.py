"""What every room stands on: values, storage, cryptography and the web edge. No domain verb lives here."""
