//! The Package Manager's calls on a real API server.
