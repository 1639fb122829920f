"""What messages say: templates, links, replies, bounce classes and their explanations, Sieve. Pure."""
