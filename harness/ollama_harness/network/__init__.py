"""Routes of requests: the settings of a machine, the route that they require, and the route that each library takes."""
