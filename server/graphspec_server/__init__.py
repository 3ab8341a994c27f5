"""GraphSpec over HTTP: the command ``graphspec-server``, and `graphspec_server.app.create_app`."""
