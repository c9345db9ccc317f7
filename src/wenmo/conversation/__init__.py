"""Conversations and instructions: reading them, the chat template, fine-tuning on answers alone, and talking."""
