"""Studies: experiments that stand on several techniques."""
