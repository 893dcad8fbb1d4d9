"""What others read: files of the formats that training code expects, and the Hugging Face Hub."""
