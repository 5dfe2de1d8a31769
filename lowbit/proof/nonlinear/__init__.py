"""Width audits: does any intermediate of an integer-only operation leave its declared width, for any row at all?"""
