"""Publishing on the Hugging Face Hub: what goes into a repository, its card, and the upload of what changed."""
