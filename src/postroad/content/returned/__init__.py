"""What came back: bounces, delays, complaints and robots' answers, read from any message. Pure."""

from postroad.content.returned.model import Kind, Original, Returned, ReturnedRecipient, Stage
from postroad.content.returned.reader import read

__all__ = ["Kind", "Original", "Returned", "ReturnedRecipient", "Stage", "read"]
