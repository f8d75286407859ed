"""What objects are made of: attributes, their rules, templates."""
