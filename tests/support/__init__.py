"""The private servers, clients and waiting helpers that the service tests stand on."""
