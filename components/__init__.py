"""One KFP component a file: a thin shell round one function of model/ or serving/."""
