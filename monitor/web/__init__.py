"""What is seen from outside over HTTP: the application, and the server that runs it in its own thread."""
