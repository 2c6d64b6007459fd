"""What every package stands on: values, storage, cryptography and the web edge. No domain verb lives here."""
