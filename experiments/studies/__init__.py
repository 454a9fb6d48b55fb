"""Studies: experiments that combine several techniques."""
