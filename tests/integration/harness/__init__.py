"""What the integration tests are made of: accounts, Apache, Paddock, clients, and the audit that nothing was left."""
