"""The console: pages for administrators, rendered here, brought to life by htmx and a little script of our own."""
