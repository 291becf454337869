"""What runs inside a training container: the shim, metric reporting, and the contract with the submitting side.

Standard library only at import, and nothing imported here: every trial of everybody pays for this package.
"""
