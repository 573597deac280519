"""The knowledge base: a person's own documents, as text that can be searched and cited."""
